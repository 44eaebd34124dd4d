namespace Fixtures;

/// <summary>An exception that cannot be asked what it is about.</summary>
public sealed class UnreadableException : Exception
{
    public override string Message => throw new InvalidOperationException("the message's own failure");
}

/// <summary>An exception without a message.</summary>
public sealed class SilentException : Exception
{
    public override string Message => null!;
}

/// <summary>An exception whose text throws, though its message does not.</summary>
public sealed class TextlessException : Exception
{
    public override string Message => "a message";

    public override string ToString() => throw new InvalidOperationException("the text's own failure");
}

/// <summary>An exception that can be asked once.</summary>
public sealed class OnceException : Exception
{
    private int _asked;

    public override string Message => Interlocked.Increment(ref _asked) == 1 ? "said once" : throw new InvalidOperationException("asked again");
}

/// <summary>An exception that says something else each time.</summary>
public sealed class ManyTextsException : Exception
{
    private int _asked;

    public override string Message => $"telling {Interlocked.Increment(ref _asked)}";
}

/// <summary>An exception whose message never comes.</summary>
public sealed class EndlessException : Exception
{
    public override string Message
    {
        get
        {
            Thread.Sleep(Timeout.Infinite);
            return "";
        }
    }
}

/// <summary>A value that can be shown once, and that an exception of the runtime's shows each time.</summary>
public sealed class OnceValue
{
    private int _asked;

    public override string ToString() => Interlocked.Increment(ref _asked) == 1 ? "shown once" : throw new InvalidOperationException("shown again");
}

/// <summary>An exception that cannot say where it was thrown, and so has no text.</summary>
public sealed class TracelessException : Exception
{
    public override string StackTrace => throw new InvalidOperationException("the trace's own failure");
}
