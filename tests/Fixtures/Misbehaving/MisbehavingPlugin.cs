using Moe.Plugins;

[assembly: MoePlugin("Misbehaving", typeof(Fixtures.MisbehavingPlugin))]

namespace Fixtures;

/// <summary>Breaks the contract at the place and in the way that its setting names, such as <c>probe:unreadable</c>, and otherwise runs layers.</summary>
public sealed class MisbehavingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        var mode = new Mode(context.Settings.GetValueOrDefault("mode", ""));
        switch (mode.At("create"))
        {
            case "null":
                return null!;
            case "log":
                context.Log.Write(MoeLogLevel.Warning, null!, new UnreadableException());
                context.Log.Write((MoeLogLevel)77, "a message", new TextlessException());
                context.Log.Write(MoeLogLevel.Error, "\u001b]0;title\u0007", new InvalidOperationException("\u001b[8m"));
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
                "device" => MoeProbeResult.Supported(new MoeDevice((MoeDeviceKind)77, 5), "a device that there is not", int.MaxValue),
                _ => MoeProbeResult.Supported(MoeDevice.Cpu, "fixture", int.MaxValue),
            };
        }

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
        {
            mode.Throw("method");
            return mode.At("method") == "null" ? null! : new MisbehavingMethod(mode);
        }

        public async ValueTask DisposeAsync()
        {
            mode.Throw("dispose");
            if (mode.At("dispose") == "never")
            {
                await new TaskCompletionSource().Task;
            }
        }
    }
}
