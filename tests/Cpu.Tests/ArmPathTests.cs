using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The kernels for Arm: the tests again under qemu's emulation of a processor with dot products, and of one without.</summary>
public sealed class ArmPathTests(ArmPathTests.ArmRuntime runtime) : IClassFixture<ArmPathTests.ArmRuntime>
{
    [Fact]
    public Task The_tests_pass_with_dot_products() => RunAgain("max", "AdvSimd with dot products", VectorPathTests.All);

    /// <summary>What computes there is the path that x64 has with AVX2 off, so a few tests tell.</summary>
    [Fact]
    public Task The_tests_pass_without_dot_products() => RunAgain("cortex-a72", "128-bit vectors", typeof(PathTests), typeof(GoldenTests));

    private Task RunAgain(string processor, string path, params IEnumerable<Type> tests)
    {
        Assert.SkipUnless(runtime.Missing is null, runtime.Missing ?? "");
        return VectorPathTests.RunAgain(runtime.Start(runtime.Program, processor), path, tests);
    }

    /// <summary>A program for Arm that starts these tests, and the .NET runtime for it, which a package has; or why there is none.</summary>
    public sealed class ArmRuntime : IAsyncLifetime
    {
        private const string Emulator = "qemu-aarch64";

        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("moe-arm-");

        /// <summary>Why the tests cannot run; null where they can.</summary>
        public string? Missing { get; private set; }

        /// <summary>Stands beside the tests' assembly, which it is made for: a program for Arm is bound to the name of the assembly that it starts.</summary>
        internal string Program { get; } = Path.Combine(AppContext.BaseDirectory, "Cpu.Tests.arm64");

        private string Output => Path.Combine(_folder.FullName, "out");

        private string Root => Path.Combine(_folder.FullName, "root");

        public async ValueTask InitializeAsync() => Missing = await FindMissing(TestContext.Current.CancellationToken);

        public ValueTask DisposeAsync()
        {
            File.Delete(Program);
            _folder.Delete(recursive: true);
            return ValueTask.CompletedTask;
        }

        /// <summary>How a program for Arm is started on a processor that the emulator knows.</summary>
        internal ProcessStartInfo Start(string program, string processor)
        {
            var start = new ProcessStartInfo(Emulator, ["-cpu", processor, program]);
            start.Environment["DOTNET_ROOT"] = Root;

            // The emulator does not see code change that is written through a second mapping of its memory, and runs what was there.
            start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
            return start;
        }

        private static async Task<(int ExitCode, string Output)> Run(ProcessStartInfo start, CancellationToken cancellationToken)
        {
            start.RedirectStandardOutput = start.RedirectStandardError = true;
            using Process process = Process.Start(start)!;
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return (process.ExitCode, (await output + await error).Trim());
        }

        private async Task<string?> FindMissing(CancellationToken cancellationToken)
        {
            if (RuntimeInformation.ProcessArchitecture == Architecture.Arm64)
            {
                return "this is Arm: all tests run on it";
            }

            string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
            if (!OperatingSystem.IsLinux() || !folders.Any(folder => File.Exists(Path.Combine(folder, Emulator))))
            {
                return $"no {Emulator} (a package of most Linux distributions, qemu-user)";
            }

            (int exitCode, string output) = await Build(cancellationToken);
            if (exitCode != 0)
            {
                return $".NET for Arm was not restored: {output}";
            }

            // What the tests need besides .NET itself: libstdc++ and OpenSSL.
            (exitCode, output) = await Run(Start(Path.Combine(Output, "Cpu.Tests"), "max"), cancellationToken);
            return exitCode == 0 && output == nameof(Architecture.Arm64)
                ? null
                : $".NET does not start under {Emulator} (exit code {exitCode.ToString(CultureInfo.InvariantCulture)}; needs Arm's libc, libstdc++ and libssl): {output}";
        }

        /// <summary>Builds a program that brings its runtime, and makes a root of it that other programs find the runtime in.</summary>
        private async Task<(int ExitCode, string Output)> Build(CancellationToken cancellationToken)
        {
            string source = Path.Combine(_folder.FullName, "source");
            Directory.CreateDirectory(source);
            await File.WriteAllTextAsync(
                Path.Combine(source, "Cpu.Tests.csproj"),
                """
                <Project Sdk="Microsoft.NET.Sdk">
                  <PropertyGroup>
                    <OutputType>Exe</OutputType>
                    <TargetFramework>net10.0</TargetFramework>
                    <RuntimeIdentifier>linux-arm64</RuntimeIdentifier>
                    <SelfContained>true</SelfContained>
                    <InvariantGlobalization>true</InvariantGlobalization>
                  </PropertyGroup>
                </Project>
                """,
                cancellationToken);
            await File.WriteAllTextAsync(
                Path.Combine(source, "Program.cs"),
                """
                System.Security.Cryptography.SHA256.HashData([]);
                System.Console.Write(System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture);
                """,
                cancellationToken);
            var start = new ProcessStartInfo("dotnet", ["build", "-nodeReuse:false", "-p:UseSharedCompilation=false", "-v", "q", "-o", Output])
            {
                WorkingDirectory = source,
            };
            foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray())
            {
                start.Environment.Remove(name);
            }

            (int exitCode, string output) = await Run(start, cancellationToken);
            if (exitCode == 0)
            {
                File.Copy(Path.Combine(Output, "Cpu.Tests"), Program, overwrite: true);
                File.Copy(Path.Combine(Output, "Cpu.Tests.deps.json"), Path.Combine(Output, "Microsoft.NETCore.App.deps.json"));
                foreach (string part in new[] { "host/fxr", "shared/Microsoft.NETCore.App" })
                {
                    // The number is beyond every patch that the tests may have been built for.
                    Directory.CreateDirectory(Path.Combine(Root, part));
                    Directory.CreateSymbolicLink(Path.Combine(Root, part, "10.0.999"), Output);
                }
            }

            return (exitCode, output);
        }
    }
}
