print '[LOG] by hand'
