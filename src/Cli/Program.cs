using Moe.Plugins.Cli;

using var console = new CommandConsole(Console.Out, Console.Error);
return await MoeCommandLine.InvokeAsync(args, console);
