using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Cli.Tests;

/// <summary>A setting whose value a plugin cannot read is named as it stands in the configuration, with its value and what was expected.</summary>
public sealed class PluginSettingTests
{
    [Theory]
    [InlineData("Cpu", "Threads", "all", "1 to 1024 is expected")]
    [InlineData("Cpu", "Nodes", "first", "the processors of each NUMA node, such as '0-31;32-63', are expected")]
    [InlineData("Bf16", "Context", "0x7f00", "a CUcontext's address as a decimal number is expected")]
    [InlineData("Bf16", "KernelCache", "", "the path of a file or folder is expected")]
    [InlineData("Collectives.Cuda", "Table", " ", "the path of a file or folder is expected")]
    [InlineData("Mxfp4.Marlin", "Context", "none", "a CUcontext's address as a decimal number is expected")]
    [InlineData("Mxfp4.Marlin", "Kernels", "grouped32", "one of stream8x64, grouped32x64,")]
    [InlineData("Mxfp4.Sm100", "Kernels", "", "one of stream8x64, grouped32x64,")]
    [InlineData("Mxfp4.Sm100", "Native", "yes", "true or false is expected")]
    [InlineData("Mxfp4.Sm100", "Fp8", "Atuo", "Off, Auto or On is expected")]
    [InlineData("Collectives.Cuda", "Transport", "Ncll", "one of Auto, PeerMemory, Nccl is expected")]
    [InlineData("Collectives.Cuda", "Plan", "push", "a way (push, twoshot, pull, twopull), blocks,")]
    public void A_value_that_is_none_is_named_with_its_whole_key(string id, string key, string value, string expected)
    {
        Assert.Contains($"Moe:Plugins:{id}:{key} is '{value}'; {expected}", Message("Moe", id, id, key, value), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Spare:Moe", "Mxfp4.Sm100")]
    [InlineData("Moe", "Mxfp4_Sm100")]
    public void The_section_is_the_users_own_and_the_id_is_the_plugins(string section, string written)
    {
        Assert.Contains($"{section}:Plugins:Mxfp4.Sm100:Fp8 is 'Atuo'", Message(section, "Mxfp4.Sm100", written, "Fp8", "Atuo"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_table_that_is_not_there_is_named_with_its_setting()
    {
        string message = Message("Moe", "Collectives.Cuda", "Collectives.Cuda", "Table", "no/such.json");

        Assert.Contains("Moe:Plugins:Collectives.Cuda:Table: ", message, StringComparison.Ordinal);
        Assert.Contains("such.json", message, StringComparison.Ordinal);
    }

    private static string Message(string section, string id, string written, string key, string value)
    {
        IConfiguration configuration = new ConfigurationBuilder()
            .AddInMemoryCollection([new($"{section}:Plugins:{written}:{key}", value), new($"{section}:Trial", "InProcess")])
            .Build();
        using var host = MoeHost.Create(MoeOptions.From(configuration.GetSection(section)));
        return host.Plugins.Single(plugin => plugin.Id == id).Message;
    }
}
