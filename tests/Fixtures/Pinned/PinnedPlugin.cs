using Moe.Plugins;

[assembly: MoePlugin("Pinned", typeof(Fixtures.PinnedPlugin))]

namespace Fixtures;

/// <summary>A timer that nobody stops holds on to the plugin for ever.</summary>
public sealed class PinnedPlugin : IMoePlugin
{
    private static readonly Timer Clock = new(_ => Ticks++, null, TimeSpan.FromHours(1), TimeSpan.FromHours(1));

    public static int Ticks { get; private set; }

    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => $"{Clock.GetHashCode()}");
}
