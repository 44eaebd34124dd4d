namespace Moe.Plugins;

/// <summary>What a <see cref="Frame"/> is.</summary>
internal enum FrameKind : byte
{
    /// <summary>A process to the hub: who it is.</summary>
    Hello = 1,

    /// <summary>The hub to all: everybody is there.</summary>
    Welcome,

    /// <summary>A process to the hub: its bytes of an exchange.</summary>
    Part,

    /// <summary>The hub to all: everybody's bytes.</summary>
    All,

    /// <summary>To all others, through the hub.</summary>
    Message,

    /// <summary>To all, through the hub: it is over, and why.</summary>
    End,

    /// <summary>A process to the hub: it knows that it is over.</summary>
    Heard,

    /// <summary>The hub to all: everybody who is left knows that it is over.</summary>
    AllKnow,

    /// <summary>A process to the hub: it is done.</summary>
    Leave,

    /// <summary>The hub to who has left: so have all others.</summary>
    AllGone,
}
