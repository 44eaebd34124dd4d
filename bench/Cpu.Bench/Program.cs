using BenchmarkDotNet.Running;
using Moe.Plugins.Cpu.Bench;

if (args is ["--quick", ..])
{
    QuickRun.Run(args[1..]);
    return;
}

BenchmarkSwitcher.FromTypes([typeof(LayerBenchmark)]).Run(args);
