using System.Diagnostics;
using System.Globalization;
using System.Runtime.Loader;
using Moe.Plugins;

namespace Fixtures;

/// <summary>What a plugin can do to the process that all are in, short of ending it.</summary>
internal static class World
{
    private static readonly List<object> Kept = [];

    public static void Change(string what, IMoePluginContext context)
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
        }
    }
}
