using System.Diagnostics;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>NVIDIA's disassembler, where there is one: beside NVRTC, in a toolkit, or on the path.</summary>
internal static class Disassembler
{
    private const string Program = "nvdisasm";

    /// <summary>The machine code of a cubin as text; skips the test where there is no disassembler.</summary>
    public static string Run(ReadOnlyMemory<byte> cubin)
    {
        string? program = Find();
        Assert.SkipWhen(program is null, $"needs {Program}, which is in no folder of PATH, LD_LIBRARY_PATH or CUDA_HOME/bin");
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, cubin.Span);
            using Process process = Process.Start(new ProcessStartInfo(program, ["-c", file]) { RedirectStandardOutput = true })!;
            string text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            return text;
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static string? Find()
    {
        string[] folders =
        [
            .. Folders("PATH"),
            .. Folders("LD_LIBRARY_PATH"),
            .. Folders("CUDA_HOME").Select(folder => Path.Combine(folder, "bin")),
        ];
        return folders.Select(folder => Path.Combine(folder, Program)).FirstOrDefault(File.Exists);
    }

    private static string[] Folders(string variable) =>
        (Environment.GetEnvironmentVariable(variable) ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
}
