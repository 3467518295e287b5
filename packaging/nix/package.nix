# Builds this checkout: callPackage ./packaging/nix/package.nix { }
# The programs are those of a Python environment: they start further Pythons that import zdeferd,
# and the plain interpreter of a wrapped application does not find it.
{
  lib,
  python3,
  runCommand,
}:

let
  version = "0.2.0";

  module =
    ps:
    ps.buildPythonPackage {
      pname = "zdeferd";
      inherit version;
      pyproject = true;
      disabled = ps.pythonOlder "3.11";
      src = lib.cleanSource ../..;
      build-system = [ ps.hatchling ];
      dependencies = [
        ps.msgspec
        ps.psutil
        ps.pyzmq
        ps.uvloop
      ];
      pythonImportsCheck = [
        "zdeferd.cli"
        "zdeferd.daemon.main"
      ];
    };

  environment = python3.withPackages (ps: [ (module ps) ]);
in
runCommand "zdeferd-${version}"
  {
    meta = {
      description = "A per-user daemon that takes slow work off the zsh prompt and runs it exactly once";
      license = lib.licenses.mit;
      mainProgram = "zdeferctl";
      platforms = lib.platforms.unix;
    };
  }
  ''
    mkdir -p $out/bin
    ln -s ${environment}/bin/zdeferd ${environment}/bin/zdeferctl $out/bin
  ''
