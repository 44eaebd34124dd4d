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
                break;
            case "files":
                foreach (string file in Directory.GetFiles(context.Folder))
                {
                    File.Delete(file);
                }

                break;
            case "long":
                throw new InvalidOperationException(new string('x', 5_000_000));
            case "cursor":
                throw new InvalidOperationException("\u001b[2K\r\u202egnorw si gnihton");
        }

        mode.Throw("create");
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
