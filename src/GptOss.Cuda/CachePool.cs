using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>
/// Pages of keys and values, of all layers each, as <c>gpt_oss_batch.cuh</c> has them. They are allocated several at a time, and given back to the
/// pool, not to the device. Thread-safe.
/// </summary>
internal sealed class CachePool(CudaContext context, GptOssConfig config) : DeviceArena(context)
{
    /// <summary>As in <c>gpt_oss_batch.cuh</c>.</summary>
    public const int PagePositions = 64;

    private const int PagesOfSlab = 8;

    private readonly Stack<nint> _free = new();
    private readonly Lock _lock = new();

    public long PageBytes { get; } = PagePositions * PositionBytes(config);

    /// <summary>Bytes of a position in all layers.</summary>
    public static long PositionBytes(GptOssConfig config) => 2L * config.LayerCount * config.KeyValueHeadCount * config.HeadSize * sizeof(ushort);

    /// <exception cref="MoeException">The device has no memory left.</exception>
    public nint Take()
    {
        lock (_lock)
        {
            if (_free.Count == 0)
            {
                using CudaContextScope scope = Context.MakeCurrent();
                nint slab = Allocate(PagesOfSlab * PageBytes);

                // A weight of nothing times what was never written must be nothing.
                CudaMemory.Fill(slab, 0, PagesOfSlab * PageBytes, stream: 0);
                Context.UseStream(0).Synchronize();
                for (int page = PagesOfSlab - 1; page >= 0; page--)
                {
                    _free.Push(slab + (nint)(page * PageBytes));
                }
            }

            return _free.Pop();
        }
    }

    public void Return(IEnumerable<nint> pages)
    {
        lock (_lock)
        {
            foreach (nint page in pages)
            {
                _free.Push(page);
            }
        }
    }
}
