namespace Moe.Plugins;

/// <summary>Options are wrong. It is thrown when a generic host starts, and where a host is made without one; the message says all that is wrong.</summary>
public sealed class MoeOptionsException : MoeException
{
    internal MoeOptionsException(string key, string message)
        : this([(key, message)])
    {
    }

    internal MoeOptionsException(IReadOnlyList<(string Key, string Message)> errors)
        : base(MoeReason.Configuration, string.Join(' ', errors.Select(static error => $"{error.Key} {error.Message}"))) =>
        Keys = [.. errors.Select(static error => error.Key)];

    /// <summary>The configuration keys of what is wrong: <c>Moe:Device</c>, say; <c>MoeOptions.Device</c> where the program set it.</summary>
    public IReadOnlyList<string> Keys { get; }
}
