using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A text's keys and values on a device: pages of a pool, and their addresses where kernels find them.</summary>
internal sealed class DeviceCache : IDisposable
{
    private readonly CachePool _pool;
    private readonly CudaDeviceMemory _table;
    private readonly List<nint> _pages = [];

    public DeviceCache(CachePool pool, int maxPositions)
    {
        _pool = pool;
        try
        {
            _table = pool.Context.Allocate(((maxPositions + CachePool.PagePositions - 1) / CachePool.PagePositions) * (long)sizeof(long));
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <summary>[pages] of addresses on the device.</summary>
    public nint Table => _table.Handle;

    /// <inheritdoc cref="IKeyValueCache.ByteCount"/>
    public long ByteCount => _pages.Count * _pool.PageBytes;

    /// <inheritdoc cref="IKeyValueCache.Reserve"/>
    public void Reserve(int positions)
    {
        int before = _pages.Count;
        while (_pages.Count * CachePool.PagePositions < positions)
        {
            _pages.Add(_pool.Take());
        }

        if (_pages.Count == before)
        {
            return;
        }

        try
        {
            using CudaContextScope scope = _pool.Context.MakeCurrent();
            CudaMemory.Upload<nint>(Table + (before * sizeof(long)), _pages.ToArray().AsSpan(before));
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    public void Dispose()
    {
        _pool.Return(_pages);
        _pages.Clear();
        _table.Dispose();
    }
}
