using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>What the machine can do at most with a team's threads: measured, because no data sheet knows a virtual machine.</summary>
internal sealed unsafe class CpuCeilings : ICpuWork, IDisposable
{
    /// <summary>Far beyond any cache, so that memory is what is measured.</summary>
    private const long StreamBytes = 1L << 30;

    /// <summary>One unit of work: long against taking it, short against the whole, so that no thread waits long for the last.</summary>
    private const long PieceBytes = 8L << 20;

    private const int Pieces = (int)(StreamBytes / PieceBytes);
    private const int FmaRounds = 1_000_000;
    private const int FmaUnits = 32;
    private const int Passes = 9;

    private readonly CpuTeam _team;
    private readonly int[] _piecesOfNodes;
    private readonly NativeBuffer _memory = new(StreamBytes);

    /// <summary>A result that nobody uses would let the work be left out.</summary>
    private readonly float[] _sinks;

    public CpuCeilings(CpuTeam team)
    {
        _team = team;
        int[] firsts = team.Cut(Pieces);
        _piecesOfNodes = [.. firsts.Skip(1).Zip(firsts, static (end, first) => end - first)];
        team.Place(_memory, firsts, PieceBytes);
        _sinks = new float[team.ThreadCount * 64];
        team.Run(this, (int)Phase.Fill, Pieces);
    }

    private enum Phase
    {
        Fill,
        Read,
        Copy,
        MultiplyAdd,
    }

    /// <summary>10⁹ bytes read a second.</summary>
    public double ReadBandwidth(CancellationToken cancellationToken) => StreamBytes / Nanoseconds(Phase.Read, _piecesOfNodes, cancellationToken);

    /// <summary>10⁹ bytes a second of copying one half of the memory to the other, read and written counted.</summary>
    public double CopyBandwidth(CancellationToken cancellationToken) => StreamBytes / Nanoseconds(Phase.Copy, [Pieces / 2], cancellationToken);

    /// <summary>10⁹ float32 operations a second, a fused multiplication and addition counted as two.</summary>
    public double FmaPeak(CancellationToken cancellationToken)
    {
        int units = FmaUnits * _team.ThreadCount;
        return (double)FmaLoop.OperationsARound * FmaRounds * units / Nanoseconds(Phase.MultiplyAdd, [units], cancellationToken);
    }

    void ICpuWork.Do(int phase, int unit, int worker)
    {
        byte* piece = _memory.Pointer<byte>() + (unit * PieceBytes);
        switch ((Phase)phase)
        {
            case Phase.Fill:
                new Span<byte>(piece, (int)PieceBytes).Fill(1);
                break;
            case Phase.Copy:
                Buffer.MemoryCopy(piece, piece + (StreamBytes / 2), PieceBytes, PieceBytes);
                break;
            case Phase.Read:
                _sinks[worker * 64] += Sum(piece, PieceBytes);
                break;
            default:
                _sinks[worker * 64] += FmaLoop.Run(FmaRounds);
                break;
        }
    }

    public void Dispose() => _memory.Dispose();

    /// <summary>A figure of the first tier of compiled code is no figure.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static uint Sum(byte* from, long count)
    {
        Vector512<uint> a = default, b = default, c = default, d = default;
        for (byte* end = from + count; from < end; from += 256)
        {
            a += Vector512.Load((uint*)from);
            b += Vector512.Load((uint*)(from + 64));
            c += Vector512.Load((uint*)(from + 128));
            d += Vector512.Load((uint*)(from + 192));
        }

        return Vector512.Sum(a + b + c + d);
    }

    /// <summary>The median, as of a layer: the best of some passes once came out at twice the others, on a virtual machine's clock.</summary>
    private double Nanoseconds(Phase phase, ReadOnlySpan<int> units, CancellationToken cancellationToken)
    {
        double[] times = new double[Passes];
        for (int pass = 0; pass < Passes; pass++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            _team.Run(this, (int)phase, units);
            times[pass] = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        }

        Array.Sort(times);
        return times[Passes / 2];
    }
}
