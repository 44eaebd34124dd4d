using System.Globalization;

namespace Moe.Plugins;

/// <summary>A processor that a layer can live on.</summary>
/// <param name="Kind">The kind of processor.</param>
/// <param name="Ordinal">Its number among those of its kind, as the driver counts them; 0 for the CPU.</param>
public readonly record struct MoeDevice(MoeDeviceKind Kind, int Ordinal)
{
    /// <summary>The machine's processor.</summary>
    public static MoeDevice Cpu => default;

    /// <summary>The CUDA device with the driver's ordinal <paramref name="ordinal"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="ordinal"/> is negative.</exception>
    public static MoeDevice Cuda(int ordinal)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(ordinal);
        return new MoeDevice(MoeDeviceKind.Cuda, ordinal);
    }

    /// <summary>Reads <c>cpu</c>, <c>cuda:N</c>, or a bare <c>N</c>, which means <c>cuda:N</c>.</summary>
    /// <returns>Whether <paramref name="text"/> names a device.</returns>
    public static bool TryParse(string? text, out MoeDevice device)
    {
        device = Cpu;
        if (string.Equals(text, "cpu", StringComparison.OrdinalIgnoreCase))
        {
            return true;
        }

        ReadOnlySpan<char> digits = text;
        if (digits.StartsWith("cuda:", StringComparison.OrdinalIgnoreCase))
        {
            digits = digits["cuda:".Length..];
        }

        if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal))
        {
            return false;
        }

        device = Cuda(ordinal);
        return true;
    }

    /// <summary><c>cpu</c> or <c>cuda:N</c>; an unknown kind is written as its number.</summary>
    public override string ToString() => Kind switch
    {
        MoeDeviceKind.Cpu => "cpu",
        MoeDeviceKind.Cuda => string.Create(CultureInfo.InvariantCulture, $"cuda:{Ordinal}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)Kind}:{Ordinal}"),
    };
}
