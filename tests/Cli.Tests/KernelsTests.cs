using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

public sealed class KernelsTests
{
    [Fact]
    public async Task Kernels_are_compiled_without_a_device()
    {
        Cli result = await Cli.Run("kernels", "--backend", "Bf16", "--arch", "sm_90a", "--json");
        Assert.SkipWhen(result.Error.Contains("NVRTC", StringComparison.Ordinal), result.Error.Trim());

        JsonElement kernels = result.Json().GetProperty("kernels");
        JsonElement router = kernels.EnumerateArray().Single(kernel => kernel.GetProperty("kernel").GetString() == "moe_router_8");
        Assert.Equal("Bf16", router.GetProperty("backend").GetString());
        Assert.Equal("sm_90a", router.GetProperty("arch").GetString());
        Assert.InRange(router.GetProperty("registers").GetInt32(), 1, 255);
        Assert.Equal(0, router.GetProperty("spill_bytes").GetInt32());
        Assert.Equal(JsonValueKind.Null, router.GetProperty("error").ValueKind);
    }

    /// <summary>The compiler that a setting names is the one that is looked for.</summary>
    [Fact]
    public async Task A_compiler_that_a_setting_names_and_that_is_not_there_is_named()
    {
        Cli result = await Cli.RunProgramIn([("Moe__Plugins__Bf16__Nvrtc", "/nowhere/libnvrtc.so.13")], "kernels", "--backend", "Bf16", "--arch", "sm_90a");

        Assert.Equal(4, result.ExitCode);
        Assert.Contains("'/nowhere/libnvrtc.so.13'", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("'Cpu', which is not a backend with kernels", "kernels", "--backend", "Cpu")]
    [InlineData("'Nope', which is not a backend with kernels", "kernels", "--backend", "Nope")]
    public async Task A_backend_without_kernels_is_named(string message, params string[] arguments)
    {
        Cli result = await Cli.Run(arguments);

        Assert.Equal(3, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_architecture_that_is_none_is_named()
    {
        Cli result = await Cli.Run("kernels", "--arch", "hopper");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("'hopper' is no architecture; one such as sm_80 or sm_90a is expected", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void What_all_kernels_lack_is_said_once_and_a_file_stands_for_its_kernels()
    {
        using var output = new StringWriter();
        using (var console = new CommandConsole(output, output, 80))
        {
            CompiledKernel.WriteText(console.Out,
            [
                Failed("router.cu"), Failed("decode.cu gate_up<64, 8, 128, 10, 4, Activation> gate_up<64, 8, 128, 10, 4, GatedActivation> down<64, 8, 128, 10, 4>"),
            ]);
        }

        string text = output.ToString();
        Assert.Contains("failed: router.cu, decode.cu", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split("builtins are missing").Length);
        Assert.All(text.Split('\n'), line => Assert.InRange(line.Length, 0, 80));

        static CompiledKernel Failed(string kernel) => new(
            "Fake", new MoeKernelReport { Kernel = kernel, Architecture = "sm_90a", Error = $"{kernel.Split(' ')[0]} for sm_90a: builtins are missing" });
    }
}
