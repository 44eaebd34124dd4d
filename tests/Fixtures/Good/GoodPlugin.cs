using Moe.Plugins;

[assembly: MoePlugin("Good", typeof(Fixtures.GoodPlugin))]

namespace Fixtures;

public sealed class GoodPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        context.Log.Write(MoeLogLevel.Information, "Good is being made");
        string setting = context.Settings.GetValueOrDefault("deep:er", "no setting");
        string folder = context.Folder;
        return new FixtureBackend(() => $"{setting}; {File.Exists(Path.Combine(folder, "Good.dll"))}; {typeof(GoodPlugin).Assembly.Location}");
    }
}
