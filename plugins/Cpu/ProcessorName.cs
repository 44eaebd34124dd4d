using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>What the processor calls itself.</summary>
internal static class ProcessorName
{
    private const string LinuxFile = "/proc/cpuinfo";

    public static string Read()
    {
        // Some virtual machines say nothing behind the colon.
        if (File.Exists(LinuxFile)
            && File.ReadLines(LinuxFile).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is string line
            && line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() is { Length: > 0 } name)
        {
            return name;
        }

        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") is { } known && !string.IsNullOrWhiteSpace(known)
            ? known
            : RuntimeInformation.ProcessArchitecture.ToString();
    }
}
