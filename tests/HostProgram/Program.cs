using Microsoft.Extensions.Configuration;
using Moe.Plugins;
using Moe.Plugins.HostProgram;

// A host as a service has one, for tests that end it at any moment. Its options come from the environment. The argument says what it does:
// "start" makes a host and says what became of each plugin; "trust FOLDER" pins a plugin; "reload" goes on reloading whatever changed; "serve" runs a
// layer of the plugin Working before, beside and after whatever the plugin Misbehaving does, and says how often its result was right.
MoeOptions options = MoeOptions.From(new ConfigurationBuilder().AddEnvironmentVariables().Build());
if (args[0] == "trust")
{
    MoePluginFolder.Read(args[1]).PinIn(options.LockFilePath);
    return 0;
}

if (args[0] == "serve")
{
    return await Serving.RunAsync(options, args.ElementAtOrDefault(1));
}

await using MoeHost host = MoeHost.Create(options);
foreach (MoePluginInfo plugin in host.Plugins)
{
    Console.WriteLine($"{plugin.Id} {plugin.State} {plugin.Reason} {plugin.Message}");
}

while (args[0] == "reload")
{
    foreach (MoeReloadReport report in await host.ReloadChangedAsync())
    {
        Console.WriteLine($"{report.Id} {report.Outcome} {report.Sentence}");
    }
}

return 0;
