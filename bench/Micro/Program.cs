using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Moe.Plugins.Micro;

if (args is [BusyProcesses.Argument])
{
    BusyProcesses.Run();
}

// `--quick` takes a minute for all: figures that say what order of magnitude something has.
bool isQuick = args.Contains("--quick");

// In this process, because the plugins' folder lies beside this program and no other.
Job job = (isQuick ? Job.ShortRun : Job.Default).WithToolchain(InProcessEmitToolchain.Instance);
IConfig config = DefaultConfig.Instance.AddJob(job).AddDiagnoser(MemoryDiagnoser.Default);
string[] rest = [.. args.Where(argument => argument != "--quick")];
BenchmarkSwitcher.FromAssembly(typeof(ForwardBenchmark).Assembly).Run(rest.Length == 0 && isQuick ? ["--filter", "*"] : rest, config);
