using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>What the processor calls itself.</summary>
internal static class ProcessorName
{
    private const string LinuxFile = "/proc/cpuinfo";

    public static string Read()
    {
        if (File.Exists(LinuxFile)
            && File.ReadLines(LinuxFile).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is string line)
        {
            return line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        }

        return Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
