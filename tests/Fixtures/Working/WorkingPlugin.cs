using System.Globalization;
using Moe.Plugins;

[assembly: MoePlugin("Working", typeof(Fixtures.WorkingPlugin))]

namespace Fixtures;

/// <summary>Makes layers whose every output is one number. Tests change the number in the DLL's bytes to get another version of the code.</summary>
public sealed class WorkingPlugin : IMoePlugin
{
    private const string Answer = "ANSWER-0001";

    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        if (File.Exists(Path.Combine(context.Folder, "exit.txt")))
        {
            Environment.Exit(3);
        }

        return new Backend(
            float.Parse(Answer.AsSpan(7), NumberStyles.None, CultureInfo.InvariantCulture),
            context.Settings.GetValueOrDefault("forward", ""));
    }

    private sealed class Backend(float answer, string fault) : IMoeBackend
    {
        public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Supported(MoeDevice.Cpu, "fixture", 10, Answer);

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new WorkingMethod(answer, fault);

        public ValueTask DisposeAsync() => default;
    }
}
