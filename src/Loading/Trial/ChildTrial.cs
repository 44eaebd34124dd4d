using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins;

/// <summary>Tries a plugin in a process of its own, and says what became of that process.</summary>
internal static class ChildTrial
{
    /// <summary>What a process may take to start on a busy machine, before the plugin's own time begins.</summary>
    private static readonly TimeSpan StartAllowance = TimeSpan.FromSeconds(20);

    /// <summary>How often the child says that it is not suspended.</summary>
    public static readonly TimeSpan Pulse = TimeSpan.FromMilliseconds(500);

    /// <summary>How many of a step's time limits a child may be silent before it is given up.</summary>
    private const int Silence = 3;

    /// <summary>How many of them a step may take on a machine so busy that the child, which keeps its own time, does not call it late.</summary>
    private const int Lateness = 10;

    public static TrialOutcome Run(TrialProgram program, FolderPlugin plugin, IReadOnlyDictionary<string, string> settings, TimeSpan timeout)
    {
        try
        {
            string mark = Guid.NewGuid().ToString("N");
            using Process process = Process.Start(program.Start(
                plugin.Staged!.MainAssemblyOf(plugin.File!),
                plugin.EntryType,
                mark,
                timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture)))!;
            try
            {
                return Watch(process, mark, settings, timeout);
            }
            catch (OutOfMemoryException)
            {
                // A thread could not be started: nobody would hear the child.
                TrialProcessGroup.End(process);
                return TrialOutcome.Interrupted("Its trial in a process of its own could not be watched: no more threads can be started here.");
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            return TrialOutcome.NotStarted(exception.Message);
        }
    }

    private static TrialOutcome Watch(Process process, string mark, IReadOnlyDictionary<string, string> settings, TimeSpan timeout)
    {
        var error = new ChildOutput(process.StandardError, mark);
        var output = new ChildOutput(process.StandardOutput, mark);
        Send(process, TrialSettings.Write(settings));
        bool hasEnded = Wait(process, output, timeout);
        if (!hasEnded)
        {
            TrialProcessGroup.End(process);
        }

        output.Wait(TimeSpan.FromSeconds(1));
        error.Wait(TimeSpan.FromSeconds(1));
        return Judge(StagesOf(output), hasEnded, process.HasExited ? process.ExitCode : 0, error.Beginning, timeout);
    }

    /// <summary>What the end of a child says of the plugin. An exit status does not tell who sent a signal, so those that people send say nothing.</summary>
    public static TrialOutcome Judge(IReadOnlyList<TrialStage> stages, bool hasEnded, int exitCode, string error, TimeSpan timeout)
    {
        if (stages.Count != 0 && stages[^1] == TrialStage.Done)
        {
            return TrialOutcome.Harmless;
        }

        if (stages.Count != 0 && stages[^1] == TrialStage.Hung)
        {
            return TrialOutcome.Fault(MoeReason.TimedOut, DescribeHang(stages.Count > 1 ? stages[^2] : TrialStage.None, timeout));
        }

        if (!hasEnded)
        {
            return TrialOutcome.Interrupted("Its trial in a process of its own got no further: that process was suspended, or the machine is too busy.");
        }

        if (ProcessEnd.IsFromOutside(exitCode))
        {
            return TrialOutcome.Interrupted($"Its trial in a process of its own was ended from outside: that process {ProcessEnd.Describe(exitCode, error)}.");
        }

        return stages.Count == 0
            ? TrialOutcome.NotStarted(
                $"the process did not come as far as the plugin ({ProcessEnd.Describe(exitCode, error)}): {error.Trim().ReplaceLineEndings(" ")}")
            : TrialOutcome.Fault(MoeReason.Crashed, $"{When(stages[^1])}, in a process of its own, it {ProcessEnd.Describe(exitCode, error)}.");
    }

    private static string DescribeHang(TrialStage stage, TimeSpan timeout)
    {
        string limit = string.Create(CultureInfo.InvariantCulture, $"{timeout.TotalSeconds:0.###} s");
        return stage switch
        {
            TrialStage.Pool => $"In a process of its own, it kept the thread pool busy: no other work began within {limit}.",
            TrialStage.Console => $"In a process of its own, it kept the console for itself: nothing could be written to it within {limit}.",
            TrialStage.Throw => $"In a process of its own, an exception that was thrown after it had run was not caught within {limit}.",
            TrialStage.End => $"In a process of its own, it left a foreground thread or a handler of the end, which keeps a program from ending: {limit} passed.",
            _ => $"{When(stage)}, in a process of its own, it did not return within {limit}.",
        };
    }

    private static string When(TrialStage stage) => stage switch
    {
        TrialStage.Load => "When it was loaded",
        TrialStage.Activate => "When its backend was made",
        TrialStage.Probe => "When its backend was asked about a layer",
        TrialStage.Pool or TrialStage.Console => "After it had run",
        TrialStage.Throw => "When an exception was thrown after it had run",
        TrialStage.Dispose => "When its backend was disposed",
        TrialStage.Collect => "When what it left was collected",
        _ => "After its backend was disposed",
    };

    // The child keeps its own time, and is only given up once it does not even do that. What passes while this process is suspended does not count.
    private static bool Wait(Process process, ChildOutput output, TimeSpan timeout)
    {
        var time = OwnTime.Start();
        int lines = 0;
        int stages = 0;
        TimeSpan limit = StartAllowance;
        TimeSpan silence = StartAllowance;
        while (!process.WaitForExit(OwnTime.Tick))
        {
            // Where some code in this process has turned off the news of children's ends (SIGCHLD), what the child said last must do.
            if (output.HasEnded && StagesOf(output) is [.., TrialStage.Done])
            {
                return true;
            }

            if (StagesOf(output).Length is int reached && reached != stages)
            {
                stages = reached;
                limit = time.Elapsed + StartAllowance + (timeout * Lateness);
            }

            if (output.Marked.Length is int said && said != lines)
            {
                lines = said;
                silence = time.Elapsed + (timeout * Silence) + (Pulse * Silence);
            }

            if (time.Look() is { } elapsed && (elapsed > limit || elapsed > silence))
            {
                return false;
            }
        }

        return true;
    }

    private static void Send(Process process, byte[] settings)
    {
        try
        {
            // It stays open: its end tells the child that this process is gone.
            process.StandardInput.BaseStream.Write(settings);
            process.StandardInput.BaseStream.Flush();
        }
        catch (IOException)
        {
            // It has ended already; how is found below.
        }
    }

    private static TrialStage[] StagesOf(ChildOutput output) =>
    [
        .. output.Marked
            .Select(static line => Enum.TryParse(line, out TrialStage stage) ? stage : TrialStage.None)
            .Where(static stage => stage is not (TrialStage.None or TrialStage.Alive)),
    ];
}
