using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins;

/// <summary>Tries a plugin in a process of its own, and says what became of that process.</summary>
internal static class ChildTrial
{
    /// <summary>What a process may take to start on a busy machine, before the plugin's own time begins.</summary>
    private static readonly TimeSpan StartAllowance = TimeSpan.FromSeconds(20);

    private const int KeptErrorLength = 4096;

    /// <summary>The verdict's reason and sentence; null where the process could not be started, and <paramref name="why"/> says why.</summary>
    public static (MoeReason Reason, string Sentence)? Run(
        TrialProgram program,
        FolderPlugin plugin,
        IReadOnlyDictionary<string, string> settings,
        string progressFile,
        TimeSpan timeout,
        out string why)
    {
        why = "";
        try
        {
            using Process process = Process.Start(program.Start(
                plugin.Staged!.MainAssemblyOf(plugin.File!),
                plugin.EntryType,
                progressFile,
                timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture)))!;
            Task<string> error = ReadAsync(process.StandardError);
            Task<string> output = ReadAsync(process.StandardOutput);
            Send(process, TrialSettings.Write(settings));
            bool hasEnded = process.WaitForExit(StartAllowance + (timeout * (int)TrialStage.Dispose));
            if (!hasEnded)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
            }

            // A process that the plugin left behind may hold the pipes open.
            Task.WaitAll([error, output], TimeSpan.FromSeconds(1));
            TrialStage[] stages = ReadProgress(progressFile);
            string said = error.IsCompletedSuccessfully ? error.Result : "";
            if (stages.Length != 0)
            {
                return Judge(stages, hasEnded, process.ExitCode, said, timeout);
            }

            why = $"the process did not come as far as the plugin ({ProcessEnd.Describe(process.ExitCode, said)}): {said.Trim().ReplaceLineEndings(" ")}";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            why = exception.Message;
        }
        finally
        {
            File.Delete(progressFile);
        }

        return null;
    }

    private static (MoeReason Reason, string Sentence) Judge(TrialStage[] stages, bool hasEnded, int exitCode, string error, TimeSpan timeout)
    {
        if (stages[^1] == TrialStage.Done)
        {
            return (MoeReason.None, "");
        }

        bool isHung = stages[^1] == TrialStage.Hung;
        string doing = (isHung ? stages[^2] : stages[^1]) switch
        {
            TrialStage.Load => "When it was loaded",
            TrialStage.Activate => "When its backend was made",
            TrialStage.Probe => "When its backend was asked about a layer",
            _ => "When its backend was disposed",
        };
        return isHung || !hasEnded
            ? (MoeReason.TimedOut, string.Create(
                CultureInfo.InvariantCulture,
                $"{doing}, in a process of its own, it did not return within {timeout.TotalSeconds:0.###} s."))
            : (MoeReason.Crashed, $"{doing}, in a process of its own, it {ProcessEnd.Describe(exitCode, error)}.");
    }

    private static void Send(Process process, byte[] settings)
    {
        try
        {
            using Stream input = process.StandardInput.BaseStream;
            input.Write(settings);
        }
        catch (IOException)
        {
            // It has ended already; how is found below.
        }
    }

    private static TrialStage[] ReadProgress(string file) => File.Exists(file)
        ? [.. File.ReadAllLines(file).Select(static line => Enum.TryParse(line, out TrialStage stage) ? stage : TrialStage.None)]
        : [];

    // Reads to the end, so that the process never waits for a full pipe, and keeps the beginning: a stack overflow prints its whole stack.
    private static Task<string> ReadAsync(StreamReader reader) => Task.Run(() =>
    {
        char[] kept = new char[KeptErrorLength];
        int length = reader.ReadBlock(kept, 0, kept.Length);
        char[] rest = new char[KeptErrorLength];
        while (reader.Read(rest, 0, rest.Length) > 0)
        {
        }

        return new string(kept, 0, length);
    });
}
