using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>
/// Moves numbers all ways with the kernels that will be used, and looks at them where they went. A driver that grants peer access may be wrong: in
/// virtual machines writes have been seen to go nowhere.
/// </summary>
internal static class GroupTrial
{
    private const int MostRows = 192;
    private const int Values = 13;

    /// <exception cref="MoeException">Numbers did not arrive.</exception>
    public static void Run(IReadOnlyList<CudaMember> members, Func<MoeException?> failure)
    {
        MoeGroupRequest request = members[0].Request;
        int rows = Math.Min(request.MaxTokens, MostRows);
        using var outputs = new Outputs(members, (long)rows * request.Width * request.ElementType.ByteSize());
        IReadOnlyList<string> ways = members[0].Ways;
        for (int way = 0; way < ways.Count; way++)
        {
            // Other numbers each way, to where nothing right lies: what a way leaves out cannot be what another has brought.
            byte[] expected = Numbers(request, rows, (row, column) => Enumerable.Range(0, request.Devices.Count).Sum(rank => At(way, rank, row, column)));
            for (int i = 0; i < members.Count; i++)
            {
                CudaMember member = members[i];
                using CudaContextScope scope = member.Context.MakeCurrent();
                CudaMemory.Upload<byte>(member.Partial, Numbers(request, rows, (row, column) => At(way, member.Rank, row, column)));
                CudaMemory.Fill(outputs.Address(i), 0xFF, outputs.ByteCount, outputs.Stream(i));
            }

            for (int i = 0; i < members.Count; i++)
            {
                members[i].Try(way, rows, outputs.Address(i), outputs.Stream(i));
            }

            for (int i = 0; i < members.Count; i++)
            {
                Check(members[i], ways[way], outputs.Download(i), expected, failure);
            }
        }
    }

    private static void Check(CudaMember member, string way, ReadOnlySpan<byte> sums, ReadOnlySpan<byte> expected, Func<MoeException?> failure)
    {
        if (failure() is { } late)
        {
            throw new MoeException(
                MoeReason.NoPeerAccess,
                $"The driver says that the devices reach each other, but numbers that rank {member.Rank} was to get ({way}) did not arrive: {late.Message}",
                late);
        }

        if (!sums[..expected.Length].SequenceEqual(expected))
        {
            throw new MoeException(
                MoeReason.NoPeerAccess,
                $"The driver says that the devices reach each other, but of the numbers that were sent ({way}) rank {member.Rank} on {member.Device} has "
                + $"got others, from byte {sums.CommonPrefixLength(expected)} on.");
        }
    }

    // Whole numbers whose sums are exact in BF16.
    private static int At(int way, int rank, int row, int column) => (((row * 7) + (column * 3) + (rank * 11) + (way * 5)) % Values) - (Values / 2);

    private static byte[] Numbers(MoeGroupRequest request, int rows, Func<int, int, int> at)
    {
        var numbers = new float[(long)rows * request.Width];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = at(i / request.Width, i % request.Width);
        }

        return request.ElementType == MoeElementType.Float32
            ? MemoryMarshal.AsBytes(numbers.AsSpan()).ToArray()
            : MemoryMarshal.AsBytes(Array.ConvertAll(numbers, MoeBFloat16.FromSingle).AsSpan()).ToArray();
    }

    private sealed class Outputs : IDisposable
    {
        private readonly IReadOnlyList<CudaMember> _members;
        private readonly CudaDeviceMemory[] _memory;
        private readonly CudaStream[] _streams;

        public Outputs(IReadOnlyList<CudaMember> members, long byteCount)
        {
            _members = members;
            ByteCount = byteCount;
            _memory = [.. members.Select(member => member.Context.Allocate(byteCount))];
            _streams = [.. members.Select(member => member.Context.CreateStream())];
        }

        public long ByteCount { get; }

        public nint Address(int rank) => _memory[rank].Handle;

        public nint Stream(int rank) => _streams[rank];

        public byte[] Download(int rank)
        {
            using CudaContextScope scope = _members[rank].Context.MakeCurrent();
            _streams[rank].Synchronize();
            byte[] bytes = new byte[ByteCount];
            CudaMemory.Download<byte>(bytes, Address(rank));
            return bytes;
        }

        public void Dispose()
        {
            Array.ForEach(_streams, stream => stream.Dispose());
            Array.ForEach(_memory, memory => memory.Dispose());
        }
    }
}
