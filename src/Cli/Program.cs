using Moe.Plugins.Cli;

using var console = CommandConsole.OfProcess();
return await MoeCommandLine.InvokeAsync(args, console);
