namespace Moe.Plugins;

/// <summary>What this library and its plugins throw when the world, not the program, is wrong. The message is meant for a person.</summary>
public class MoeException : Exception
{
    /// <summary>Makes an exception with a reason code.</summary>
    /// <param name="reason">Why, for programs.</param>
    /// <param name="message">Why, for people: what was found, and what was expected.</param>
    /// <param name="innerException">What caused it, if something else did.</param>
    public MoeException(MoeReason reason, string message, Exception? innerException = null)
        : base(message, innerException) => Reason = reason;

    /// <summary>Why, for programs.</summary>
    public MoeReason Reason { get; }
}
