using System.Runtime.InteropServices;

namespace Fixtures;

/// <summary>The ways in which code ends its process, or never returns.</summary>
internal static partial class Disaster
{
    public static void Happen(string what)
    {
        switch (what)
        {
            case "segv":
                _ = memset(0x1000, 0, 1);
                break;
            case "abort":
                abort();
                break;
            case "overflow":
                _ = Overflow(1);
                break;
            case "exit":
                Environment.Exit(7);
                break;
            case "thread":
                var thread = new Thread(() => throw new InvalidOperationException("thrown on a thread of the plugin's own"));
                thread.Start();
                thread.Join();
                Thread.Sleep(Timeout.Infinite);
                break;
            case "hang":
                Thread.Sleep(Timeout.Infinite);
                break;
            case "spin":
                while (true)
                {
                }

            case "foreground":
                new Thread(() => Thread.Sleep(Timeout.Infinite)) { IsBackground = false }.Start();
                break;
            case "pool":
                ThreadPool.SetMinThreads(1, 1);
                ThreadPool.SetMaxThreads(Environment.ProcessorCount, Environment.ProcessorCount);
                for (int i = 0; i < 4 * Environment.ProcessorCount; i++)
                {
                    ThreadPool.QueueUserWorkItem(_ => Thread.Sleep(Timeout.Infinite));
                }

                break;
            case "listener":
                AppDomain.CurrentDomain.FirstChanceException += static (_, _) => throw new InvalidOperationException("another one");
                break;
            case "nullsignal":
                // SIGSEGV, SIG_DFL: as native code does that restores a handler which it never had.
                _ = signal(11, 0);
                break;
            case "finalizer":
                _ = new Collected();
                break;
            case "SIGHUP" or "SIGINT" or "SIGKILL" or "SIGTERM" or "SIGSTOP" or "SIGXCPU":
                _ = kill(Environment.ProcessId, what switch { "SIGHUP" => 1, "SIGINT" => 2, "SIGKILL" => 9, "SIGTERM" => 15, "SIGXCPU" => 24, _ => 19 });
                Thread.Sleep(Timeout.Infinite);
                break;
            case "throw":
                throw new InvalidOperationException("only an exception");
        }
    }

    private static int Overflow(int depth) => depth == 0 ? 0 : Overflow(depth + 1) + Overflow(depth + 2);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint memset(nint address, int value, nint count);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void abort();

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint signal(int number, nint handler);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int kill(int process, int signal);

    private sealed class Collected
    {
        ~Collected() => Happen("throw");
    }
}
