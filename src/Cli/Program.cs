using Moe.Plugins.Cli;

int exitCode;
bool holdsStrangers;
using (var console = CommandConsole.OfProcess())
{
    exitCode = await MoeCommandLine.InvokeAsync(args, console);
    holdsStrangers = console.HoldsStrangers;
}

if (holdsStrangers)
{
    ProcessEnd.Now(exitCode);
}

return exitCode;
