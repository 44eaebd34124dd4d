using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Cuda.Tests;

public sealed class LayoutTests
{
    [Fact]
    public void Structs_have_the_sizes_and_offsets_of_cuda_h()
    {
        Assert.Equal(56, Unsafe.SizeOf<CuLaunchConfig>());
        Assert.Equal(32, (int)Marshal.OffsetOf<CuLaunchConfig>(nameof(CuLaunchConfig.Stream)));
        Assert.Equal(48, (int)Marshal.OffsetOf<CuLaunchConfig>(nameof(CuLaunchConfig.AttributeCount)));
        Assert.Equal(72, Unsafe.SizeOf<CuLaunchAttribute>());
        Assert.Equal(8, (int)Marshal.OffsetOf<CuLaunchAttribute>(nameof(CuLaunchAttribute.ClusterX)));
        Assert.Equal(128, Unsafe.SizeOf<CuMemcpy2D>());
        Assert.Equal(24, (int)Marshal.OffsetOf<CuMemcpy2D>(nameof(CuMemcpy2D.SourceHost)));
        Assert.Equal(104, (int)Marshal.OffsetOf<CuMemcpy2D>(nameof(CuMemcpy2D.DestinationPitch)));
        Assert.Equal(128, Unsafe.SizeOf<CudaTensorMap>());
    }

    [Fact]
    public void Tensor_maps_at_the_front_of_a_parameter_struct_are_aligned()
    {
        Assert.Equal(192, Unsafe.SizeOf<BoxParameters>());
        Assert.Equal(0, (int)Marshal.OffsetOf<BoxParameters>(nameof(BoxParameters.Map)) % CudaTensorMap.Alignment);
        Assert.Equal(128, (int)Marshal.OffsetOf<BoxParameters>(nameof(BoxParameters.Output)));
        Assert.Equal(0, CudaTensorMap.ByteCount % CudaTensorMap.Alignment);
    }

    [Theory]
    [InlineData(700, true)]
    [InlineData(716, true)]
    [InlineData(719, true)]
    [InlineData(714, true)]
    [InlineData(718, true)]
    [InlineData(214, true)]
    [InlineData(2, false)]
    [InlineData(1, false)]
    [InlineData(101, false)]
    [InlineData(600, false)]
    public void Sticky_errors_lose_the_context(int result, bool lost)
    {
        Assert.Equal(lost, CudaException.IsSticky(result));
    }
}
