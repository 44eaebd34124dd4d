using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins;

/// <summary>
/// What happens in the process that a plugin is tried in: it is loaded, its backend is made, asked and disposed, each under the deadline, and
/// the process must be able to end. A line of its output says how far it got, for whoever started the process cannot ask it any more once it is
/// gone. What the plugin throws does not matter here: the host sees it again, and survives it.
/// </summary>
[RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
[RequiresDynamicCode(McMasterPluginLoader.Reason)]
internal static class TrialProcess
{
    private const int StandardOutput = 1;

    private static readonly Lock Writing = new();
    private static Stream _output = Stream.Null;
    private static string _mark = "";

    /// <summary>
    /// Called by the program moe-trial: main assembly, entry type, what each line of progress begins with, seconds for each step. A line with the
    /// settings comes on standard input, which stays open as long as the parent lives.
    /// </summary>
    public static int Run(string[] args)
    {
        (string mainAssembly, string entryType, _mark) = (args[0], args[1], args[2]);
        var timeout = TimeSpan.FromSeconds(double.Parse(args[3], CultureInfo.InvariantCulture));

        // Not the console's, whose lock a plugin may keep.
        _output = OperatingSystem.IsWindows() ? Console.OpenStandardOutput() : new FileStream(new SafeFileHandle(StandardOutput, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        Stream input = Console.OpenStandardInput();
        IReadOnlyDictionary<string, string> settings = TrialSettings.Read(input);
        TrialProcessGroup.Begin(input);
        var context = new PluginContext(
            settings, new MoeOptions().PathOf(nameof(MoeOptions.Plugins), "trial"), Path.GetDirectoryName(mainAssembly)!, new PluginLog(NullLogger.Instance));
        ILoadedPlugin? loaded = null;
        IMoeBackend? backend = null;
        _ = Step(TrialStage.Load, timeout, () => loaded = new McMasterPluginLoader().Load(mainAssembly))
            && Step(TrialStage.Activate, timeout, () => backend = loaded!.CreateEntry(entryType).CreateBackend(context))
            && Step(TrialStage.Probe, timeout, () => Ask(backend));

        // Also after what threw: it has run, and the host runs it too.
        Step(TrialStage.Pool, timeout, UseThreadPool);
        Step(TrialStage.Console, timeout, UseConsole);
        Step(TrialStage.Throw, timeout, ThrowAndCatch);
        Step(TrialStage.Dispose, timeout, () => backend?.DisposeAsync().AsTask().GetAwaiter().GetResult());
        backend = null;
        Step(TrialStage.Collect, timeout, Collect);

        // The runtime waits for foreground threads before it says that the process exits, and tells the plugin first: it has asked earlier.
        AppDomain.CurrentDomain.ProcessExit += static (_, _) => Finish();
        Say(TrialStage.End);
        new Thread(() => HangUnless(Sleep, timeout)) { IsBackground = true, Name = "Moe.Plugins trial, the end" }.Start();
        return 0;
    }

    /// <returns>Whether the work returned, and did not throw.</returns>
    private static bool Step(TrialStage stage, TimeSpan timeout, Action work)
    {
        Say(stage);
        bool isDone = false;
        var thread = new Thread(() =>
        {
            try
            {
                work();
                isDone = true;
            }
            catch (Exception)
            {
                // The host meets it again.
            }
        })
        {
            IsBackground = true,
            Name = $"Moe.Plugins trial, {stage}",
        };
        thread.Start();
        HangUnless(thread.Join, timeout);
        return isDone;
    }

    /// <summary>Ends the process unless something is done in time.</summary>
    private static void HangUnless(Func<TimeSpan, bool> isDoneAfter, TimeSpan timeout)
    {
        var time = OwnTime.Start();
        long said = Stopwatch.GetTimestamp();
        while (!isDoneAfter(OwnTime.Tick))
        {
            if (Stopwatch.GetElapsedTime(said) > ChildTrial.Pulse)
            {
                said = Stopwatch.GetTimestamp();
                Say(TrialStage.Alive);
            }

            if (time.Look() > timeout)
            {
                Say(TrialStage.Hung);
                TrialProcessGroup.End();
            }
        }
    }

    private static bool Sleep(TimeSpan time)
    {
        Thread.Sleep(time);
        return false;
    }

    private static void Finish()
    {
        Say(TrialStage.Done);
        TrialProcessGroup.End();
    }

    // On a line of its own, whatever the plugin has begun to write.
    private static void Say(TrialStage stage)
    {
        lock (Writing)
        {
            _output.Write(Encoding.UTF8.GetBytes($"\n{_mark} {stage}\n"));
            _output.Flush();
        }
    }

    private static void Ask(IMoeBackend? backend)
    {
        if (backend is null)
        {
            return;
        }

        var record = new PluginRecord("trial", "");
        foreach (MoeWeightFormat format in Enum.GetValues<MoeWeightFormat>())
        {
            MoeLayerShape shape = MoeLayerShape.GptOss20B with { WeightFormat = format };
            BackendProbe.Ask(record, backend, new MoeProbeRequest { Shape = shape }, new MoeLayerOptions());
        }
    }

    // Twice: what one finalizer lets go has its own.
    private static void Collect()
    {
        for (int i = 0; i < 2; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    private static void UseConsole()
    {
        // What a plugin puts in its place may throw; that it never returns is what matters.
        Fault.Ignore(static () => Console.Out.Write(""));
        Fault.Ignore(static () => Console.Error.Write(""));
    }

    private static void ThrowAndCatch()
    {
        try
        {
            throw new InvalidOperationException();
        }
        catch (InvalidOperationException)
        {
        }

        // The processor raises this one, as a signal, whose handler native code may have replaced.
        try
        {
            _ = Nothing()!.Length;
        }
        catch (NullReferenceException)
        {
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string? Nothing() => null;

    private static void UseThreadPool()
    {
        using var ran = new ManualResetEventSlim();
        ThreadPool.UnsafeQueueUserWorkItem(static e => ((ManualResetEventSlim)e!).Set(), ran);
        ran.Wait();
    }
}
