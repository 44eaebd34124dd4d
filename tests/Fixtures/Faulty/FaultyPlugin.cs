using Moe.Plugins;

[assembly: MoePlugin("Faulty", typeof(Fixtures.FaultyPlugin))]

namespace Fixtures;

/// <summary>Fails in the way and at the place that its settings name.</summary>
public sealed class FaultyPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        string where = context.Settings.GetValueOrDefault("where", "activate");
        string what = context.Settings.GetValueOrDefault("what", "");
        if (where == "activate")
        {
            Disaster.Happen(what);
        }

        return new FixtureBackend(() =>
        {
            if (where == "probe")
            {
                Disaster.Happen(what);
            }

            return "unharmed";
        });
    }
}
