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

/// <summary>An exception that cannot say where it was thrown, and so has no text.</summary>
public sealed class TracelessException : Exception
{
    public override string StackTrace => throw new InvalidOperationException("the trace's own failure");
}
