namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A text's keys and values on the ranks' devices, each rank's heads there.</summary>
internal sealed class RankedCache : IKeyValueCache
{
    private readonly List<DeviceCache> _parts = [];

    public RankedCache(IEnumerable<CachePool> pools, int maxPositions)
    {
        try
        {
            foreach (CachePool pool in pools)
            {
                _parts.Add(new DeviceCache(pool, maxPositions));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public long ByteCount => _parts.Sum(part => part.ByteCount);

    public DeviceCache Of(int rank) => _parts[rank];

    public void Reserve(int positions) => _parts.ForEach(part => part.Reserve(positions));

    public void Dispose() => _parts.ForEach(part => part.Dispose());
}
