using Moe.Plugins.Cuda;

namespace Cuda.Tests;

public sealed class KernelSourceTests
{
    [Fact]
    public void Resources_bring_what_they_include_directly_or_not_and_nothing_else()
    {
        KernelSource source = TestKernels.Read("basic.cu");
        Assert.Equal(["scale.cuh", "types.cuh"], source.Headers.Select(header => header.Name));
    }

    [Fact]
    public void A_resource_that_is_nowhere_is_named_with_the_assembly()
    {
        FileNotFoundException exception = Assert.Throws<FileNotFoundException>(() => TestKernels.Read("absent.cu"));
        Assert.Contains("absent.cu", exception.Message, StringComparison.Ordinal);
        Assert.Contains("Cuda.Tests", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_that_only_ends_alike_is_another_file()
    {
        Assert.Throws<FileNotFoundException>(() => TestKernels.Read("asic.cu"));
    }

    [Fact]
    public void Text_takes_only_the_headers_that_it_includes()
    {
        KernelSource source = KernelSource.FromText(
            "a.cu",
            "  #  include <b.cuh>\n// #include \"d.cuh\"",
            new KernelHeader("b.cuh", "#include \"c.cuh\"\n#include \"b.cuh\""),
            new("c.cuh", ""),
            new("d.cuh", ""));
        Assert.Equal(["b.cuh", "c.cuh"], source.Headers.Select(header => header.Name));
    }
}
