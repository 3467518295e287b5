# For a tap: pip resolves the dependencies, as pipx does. `brew install --build-from-source` tries it.
# The release fills in what stands between at signs.
class Zdeferd < Formula
  desc "Per-user daemon that takes slow work off the zsh prompt and runs it exactly once"
  homepage "@home@"
  url "@home@/releases/download/v0.2.0/zdeferd-0.2.0.tar.gz"
  sha256 "@sha256@"
  license "MIT"

  depends_on "python@3.13"
  uses_from_macos "zsh"

  def install
    system Formula["python@3.13"].opt_bin/"python3.13", "-m", "venv", libexec
    system libexec/"bin/python", "-m", "pip", "install", "--quiet", buildpath
    bin.install_symlink libexec/"bin/zdeferd", libexec/"bin/zdeferctl"
  end

  def caveats
    <<~TEXT
      Put the service and the zsh plugin in place, now and after each upgrade:
        zdeferctl install
    TEXT
  end

  test do
    assert_equal "zdeferctl #{version}", shell_output("#{bin}/zdeferctl --version").strip
    assert_match "zdeferd.plugin.zsh", shell_output("#{bin}/zdeferctl install --dry-run --verbose")
  end
end
