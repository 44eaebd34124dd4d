using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Diagnostics.Tracing;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Moe.Plugins;

namespace Fixtures;

/// <summary>What a plugin can do to the process that all are in, short of ending it.</summary>
internal static partial class World
{
    private static readonly List<object> Kept = [];

    /// <param name="modes">What to do, one after the other: <c>culture+folder</c>.</param>
    /// <param name="context">The plugin's.</param>
    public static void Change(string modes, IMoePluginContext context)
    {
        foreach (string mode in modes.Split('+'))
        {
            Do(mode, context);
        }
    }

    private static void Do(string what, IMoePluginContext context)
    {
        switch (what)
        {
            case "console":
                Console.SetOut(TextWriter.Null);
                Console.SetError(TextWriter.Null);
                break;
            case "chatter":
                Console.Out.WriteLine(new string('x', 1_000_000));
                Console.Error.WriteLine("\u001b[2J" + new string('e', 1_000_000));
                break;
            case "stdin":
                Console.ReadLine();
                break;
            case "culture":
                CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = new NumberFormatInfo { NumberDecimalSeparator = ",", NegativeSign = "~" } };
                break;
            case "folder":
                Directory.SetCurrentDirectory("/");
                break;
            case "environment":
                Environment.SetEnvironmentVariable("HOME", "/nonexistent");
                Environment.SetEnvironmentVariable("TMPDIR", "/nonexistent");
                Environment.SetEnvironmentVariable("XDG_CACHE_HOME", "/nonexistent");
                break;
            case "pool":
                ThreadPool.SetMinThreads(1, 1);
                ThreadPool.SetMaxThreads(Environment.ProcessorCount, Environment.ProcessorCount);
                for (int i = 0; i < 100; i++)
                {
                    ThreadPool.QueueUserWorkItem(_ => Thread.Sleep(Timeout.Infinite));
                }

                break;
            case "threads":
                for (int i = 0; i < 100; i++)
                {
                    new Thread(() => Thread.Sleep(Timeout.Infinite)) { IsBackground = true }.Start();
                }

                break;
            case "priority":
                Thread.CurrentThread.Priority = ThreadPriority.Highest;
                break;
            case "context":
                SynchronizationContext.SetSynchronizationContext(new SynchronizationContext());
                break;
            case "resolving":
                AssemblyLoadContext.Default.Resolving += (_, _) => throw new InvalidOperationException("nothing is found any more");
                break;
            case "unobserved":
                _ = Task.Run(() => throw new InvalidOperationException("nobody looks"));
                break;
            case "unload":
                AssemblyLoadContext.GetLoadContext(typeof(World).Assembly)!.Unload();
                break;
            case "lock":
                var locker = new Thread(() =>
                {
                    lock (typeof(IMoePlugin))
                    {
                        Thread.Sleep(Timeout.Infinite);
                    }
                })
                {
                    IsBackground = true,
                };
                locker.Start();
                break;
            case "memory":
                Kept.AddRange(Enumerable.Range(0, 100).Select(_ => new byte[2_000_000]));
                break;
            case "timer":
                Kept.Add(new Timer(_ => context.Log.Write(MoeLogLevel.Warning, "still here"), null, 0, 1));
                break;
            case "logs":
                for (int i = 0; i < 20_000; i++)
                {
                    context.Log.Write(MoeLogLevel.Warning, "again");
                }

                break;
            case "handles":
                Kept.AddRange(Enumerable.Range(0, 100).Select(_ => File.OpenRead(typeof(World).Assembly.Location)));
                break;
            case "process":
                // It outlives this process: it ends with the standard input that both have.
                Kept.Add(Process.Start("cat"));
                break;
            case "exitcode":
                Environment.ExitCode = 9;
                break;
            case "settings":
                _ = context.Settings["there is no such setting"];
                break;
            case "rewrite":
                foreach (string file in Directory.GetFiles(context.Folder))
                {
                    File.Delete(file);
                    File.WriteAllText(file, "not what was copied");
                }

                break;
            case "staging":
                Directory.Delete(Path.GetDirectoryName(context.Folder.TrimEnd('/'))!, recursive: true);
                break;
            case "slow":
                Thread.Sleep(1000);
                break;
            case "throw":
                throw new InvalidOperationException("after all of that");
            case "exithang":
                AppDomain.CurrentDomain.ProcessExit += static (_, _) => Thread.Sleep(Timeout.Infinite);
                break;
            case "exitthrow":
                AppDomain.CurrentDomain.ProcessExit += static (_, _) => throw new InvalidOperationException("not at the end either");
                break;
            case "meters":
                Count("Moe.Plugins");
                break;
            case "allmeters":
                Count("");
                break;
            case "activities":
                Listen(static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData, static _ => throw new InvalidOperationException("nothing begins"), null);
                break;
            case "ends":
                Listen(static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData, null, static _ => throw new InvalidOperationException("nothing ends"));
                break;
            case "samples":
                Listen(static (ref ActivityCreationOptions<ActivityContext> _) => throw new InvalidOperationException("nothing is sampled"), null, null);
                break;
            case "firstchance":
                AppDomain.CurrentDomain.FirstChanceException += static (_, _) => throw new InvalidOperationException("another one");
                break;
            case "assemblyload":
                AppDomain.CurrentDomain.AssemblyLoad += static (_, _) => throw new InvalidOperationException("nothing is loaded any more");
                break;
            case "resolver":
                foreach (Assembly assembly in AppDomain.CurrentDomain.GetAssemblies().Where(static a => a.GetName().Name!.StartsWith("Moe.", StringComparison.Ordinal)))
                {
                    NativeLibrary.SetDllImportResolver(assembly, static (_, _, _) => throw new InvalidOperationException("no library is found any more"));
                }

                break;
            case "umask":
                _ = umask(0);
                break;
            case "children":
                // SIGCHLD, SIG_IGN: whoever waits for a child process never hears of its end.
                _ = signal(17, 1);
                break;
            case "consolelock":
                var holder = new Thread(static () =>
                {
                    lock (Console.Out)
                    {
                        lock (Console.Error)
                        {
                            Thread.Sleep(Timeout.Infinite);
                        }
                    }
                })
                {
                    IsBackground = true,
                };
                holder.Start();
                break;
            case "terminate":
                Kept.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, static signal => signal.Cancel = true));
                break;
            case "nowhere":
                Directory.SetCurrentDirectory(Directory.CreateTempSubdirectory().FullName);
                Directory.Delete(Directory.GetCurrentDirectory());
                break;
            case "affinity":
                if (OperatingSystem.IsLinux())
                {
                    Process.GetCurrentProcess().ProcessorAffinity = 1;
                }

                Process.GetCurrentProcess().PriorityClass = ProcessPriorityClass.Idle;
                break;
            case "noregion":
                GC.TryStartNoGCRegion(1 << 20);
                break;
            case "finalizer":
                Abandon();
                break;
            case "hooks":
                Environment.SetEnvironmentVariable("DOTNET_STARTUP_HOOKS", "/nowhere.dll");
                Environment.SetEnvironmentVariable("DOTNET_ROOT", "/nowhere");
                Environment.SetEnvironmentVariable("LD_PRELOAD", "/nowhere.so");
                Environment.SetEnvironmentVariable("PATH", "");
                break;
            case "unobserver":
                TaskScheduler.UnobservedTaskException += static (_, _) => throw new InvalidOperationException("seen, and thrown");
                _ = Task.Run(static () => throw new InvalidOperationException("nobody looks"));
                break;
            case "events":
                Kept.Add(new Listener());
                break;
            case "files":
                // RLIMIT_NOFILE: nobody in the process has more than so many files open.
                var limit = new Limit { Soft = 64, Hard = 64 };
                _ = setrlimit(7, ref limit);
                break;
        }
    }

    private static void Listen(SampleActivity<ActivityContext> sample, Action<Activity>? started, Action<Activity>? stopped)
    {
        var listener = new ActivityListener { ShouldListenTo = static _ => true, Sample = sample, ActivityStarted = started, ActivityStopped = stopped };
        ActivitySource.AddActivityListener(listener);
        Kept.Add(listener);
    }

    private static void Count(string meter)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name.StartsWith(meter, StringComparison.Ordinal))
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>(static (_, _, _, _) => throw new InvalidOperationException("not to be counted"));
        listener.Start();
        Kept.Add(listener);
    }

    private static void Abandon() => _ = new Endless();

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial uint umask(uint mask);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint signal(int number, nint handler);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int setrlimit(int resource, ref Limit limit);

    private struct Limit
    {
        public nuint Soft;
        public nuint Hard;
    }

    private sealed class Endless
    {
        ~Endless() => Thread.Sleep(Timeout.Infinite);
    }

    private sealed class Listener : EventListener
    {
        protected override void OnEventSourceCreated(EventSource eventSource) => EnableEvents(eventSource, EventLevel.LogAlways);

        protected override void OnEventWritten(EventWrittenEventArgs eventData) => throw new InvalidOperationException("nothing is traced");
    }
}
