using System.Security.Cryptography;

namespace Moe.Plugins.Cli;

/// <summary>What a rank holds after a reduction, in host memory: valid until the rank reads again.</summary>
/// <param name="Normed">The normed sum.</param>
/// <param name="Residual">The sum with the residual.</param>
internal readonly record struct ReductionOutput(MoeTensorView Normed, MoeTensorView Residual)
{
    /// <summary>Whether both hold the same bits.</summary>
    public bool Equals(ReductionOutput other) => Bytes(Normed).SequenceEqual(Bytes(other.Normed)) && Bytes(Residual).SequenceEqual(Bytes(other.Residual));

    /// <summary>Of both.</summary>
    public byte[] Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Bytes(Normed));
        hash.AppendData(Bytes(Residual));
        return hash.GetHashAndReset();
    }

    public override int GetHashCode() => Normed.GetHashCode();

    private static unsafe ReadOnlySpan<byte> Bytes(in MoeTensorView dense) => new((void*)dense.Address, checked((int)(dense.Rows * dense.RowBytes)));
}
