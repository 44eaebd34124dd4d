using Moe.Plugins;

[assembly: MoePlugin("Faulty", typeof(Fixtures.FaultyPlugin))]

namespace Fixtures;

/// <summary>Fails in the way and at the place that its settings name.</summary>
public sealed class FaultyPlugin : IMoePlugin
{
    // Before anything of the class is used. The file lies beside the DLL where a test wants this.
    static FaultyPlugin()
    {
        if (File.Exists(Path.Combine(Path.GetDirectoryName(typeof(FaultyPlugin).Assembly.Location)!, "static.txt")))
        {
            Disaster.Happen("segv");
        }
    }

    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        string where = context.Settings.GetValueOrDefault("where", "activate");
        string what = context.Settings.GetValueOrDefault("what", "");
        if (where == "activate" || (where == "once" && IsFirst(context.Settings["file"])))
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

    private static bool IsFirst(string file)
    {
        bool isFirst = !File.Exists(file);
        File.WriteAllText(file, "");
        return isFirst;
    }
}
