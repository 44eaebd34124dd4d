using BenchmarkDotNet.Running;
using Moe.Plugins.Cpu.Bench;

if (args is ["--quick", ..])
{
    QuickRun.Run(args[1..]);
    return;
}

// Figures mean something beside the ceilings of the same run.
QuickRun.PrintCeilings();
BenchmarkSwitcher.FromTypes([typeof(LayerBenchmark)]).Run(args);
