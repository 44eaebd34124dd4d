using System.Threading.Tasks.Sources;
using Moe.Plugins;

[assembly: MoePlugin("Misbehaving", typeof(Fixtures.MisbehavingPlugin))]

namespace Fixtures;

/// <summary>Breaks the contract at the place and in the way that its setting names, such as <c>probe:unreadable</c>, and otherwise runs layers.</summary>
public sealed class MisbehavingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        var mode = new Mode(context.Settings.GetValueOrDefault("mode", ""), context.Settings.GetValueOrDefault("switch", ""));
        switch (mode.At("create"))
        {
            case "null":
                return null!;
            case "log":
                context.Log.Write(MoeLogLevel.Warning, null!, new UnreadableException());
                context.Log.Write((MoeLogLevel)77, "a message", new TextlessException());
                context.Log.Write(MoeLogLevel.Error, "\u001b]0;title\u0007", new InvalidOperationException("\u001b[8m"));
                break;
            case "huge":
                context.Log.Write(MoeLogLevel.Error, new string('x', 5_000_000), new InvalidOperationException(new string('y', 5_000_000)));
                context.Log.Write(MoeLogLevel.Error, "{a brace, and {another} one, which {0} closes: }}}}");
                break;
            case "files":
                foreach (string file in Directory.GetFiles(context.Folder))
                {
                    File.Delete(file);
                }

                break;
        }

        mode.Throw("create");
        World.Change(mode.At("world"), context);
        return new Backend(mode);
    }

    private sealed class Backend(Mode mode) : IMoeBackend
    {
        public MoeProbeResult Probe(MoeProbeRequest request)
        {
            mode.Throw("probe");
            return mode.At("probe") switch
            {
                "null" => null!,
                "nulltexts" => MoeProbeResult.Supported(MoeDevice.Cpu, null!, int.MaxValue, null!),
                "nullrefusal" => MoeProbeResult.Unsupported(MoeReason.Shape, null!),
                "cursor" => MoeProbeResult.Supported(MoeDevice.Cpu, "\u001b[31m", 1, "\u202eright"),
                "cursorrefusal" => MoeProbeResult.Unsupported(MoeReason.Shape, "\u001b[8mhidden"),
                "reason" => MoeProbeResult.Unsupported((MoeReason)4711, "a reason that there is not"),
                "huge" => MoeProbeResult.Supported(MoeDevice.Cpu, new string('d', 5_000_000), 1, new string('n', 5_000_000)),
                "hugerefusal" => MoeProbeResult.Unsupported(MoeReason.Shape, new string('r', 5_000_000)),
                "least" => MoeProbeResult.Supported(MoeDevice.Cpu, "fixture", int.MinValue),
                "device" => MoeProbeResult.Supported(new MoeDevice((MoeDeviceKind)77, 5), "a device that there is not", int.MaxValue),
                _ => MoeProbeResult.Supported(MoeDevice.Cpu, "fixture", int.MaxValue),
            };
        }

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
        {
            mode.Throw("method");
            return mode.At("method") == "null" ? null! : new MisbehavingMethod(mode);
        }

        public ValueTask DisposeAsync()
        {
            mode.Throw("dispose");
            return mode.At("dispose") switch
            {
                "never" => new ValueTask(new TaskCompletionSource().Task),
                "task" => new ValueTask(Task.FromException(new UnreadableException())),
                "source" => new ValueTask(new Source(ValueTaskSourceStatus.Pending), 0),
                "lies" => new ValueTask(new Source(ValueTaskSourceStatus.Succeeded), 0),
                _ => ValueTask.CompletedTask,
            };
        }

        public override bool Equals(object? obj) => mode.At("equals") == "throw" ? throw new UnreadableException() : ReferenceEquals(this, obj);

        public override int GetHashCode() => mode.At("equals") == "throw" ? throw new UnreadableException() : base.GetHashCode();

        public override string ToString() => mode.At("equals") == "throw" ? throw new UnreadableException() : "a backend";
    }

    /// <summary>A task that ends twice, and on another thread while it is asked, and has a result that throws.</summary>
    private sealed class Source(ValueTaskSourceStatus status) : IValueTaskSource
    {
        public void GetResult(short token) => throw new UnreadableException();

        public ValueTaskSourceStatus GetStatus(short token) => status;

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        {
            new Thread(() => Try(continuation, state)) { IsBackground = true }.Start();
            Try(continuation, state);
        }

        private static void Try(Action<object?> continuation, object? state)
        {
            try
            {
                continuation(state);
            }
            catch (Exception)
            {
                // It was told once already.
            }
        }
    }
}
