using System.Runtime.CompilerServices;

namespace Moe.Plugins;

/// <summary>Lets one forward at a time enter of all layers that take turns.</summary>
internal sealed class TurnGate
{
    private static readonly ConditionalWeakTable<MoeTurns, TurnGate> Gates = [];

    private int _isTaken;

    /// <summary>The gate of layers that have the same turns.</summary>
    public static TurnGate Of(MoeTurns turns) => Gates.GetOrCreateValue(turns);

    public bool TryEnter() => Interlocked.Exchange(ref _isTaken, 1) == 0;

    public void Leave() => Volatile.Write(ref _isTaken, 0);
}
