using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>Libraries that stand for others, in a folder that comes first in a process's search path.</summary>
internal sealed class FakeLibraries : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("moe-fake-libraries-").FullName;

    /// <summary>The variable that makes a process find them.</summary>
    public (string Name, string Value) SearchPath => ("LD_LIBRARY_PATH", _folder);

    /// <summary>Builds a library; skips the test where that cannot be done.</summary>
    public FakeLibraries With(string name, string code)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Libraries are found by a search path on Linux.");
        string source = Path.Combine(_folder, name + ".c");
        File.WriteAllText(source, code);
        try
        {
            using Process compiler = Process.Start("gcc", ["-shared", "-fPIC", "-o", Path.Combine(_folder, name), source]);
            compiler.WaitForExit();
            Assert.Equal(0, compiler.ExitCode);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("There is no gcc.");
        }

        return this;
    }

    /// <summary>The path of a library that was built.</summary>
    public string PathOf(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
