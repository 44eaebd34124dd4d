namespace Moe.Plugins.GptOss;

/// <summary>The ids of the tokens that harmony builds messages with. Text never becomes one of them.</summary>
public sealed record HarmonyTokens
{
    /// <summary><c>&lt;|start|&gt;</c>: a message's header begins.</summary>
    public required int Start { get; init; }

    /// <summary><c>&lt;|end|&gt;</c>: a message has ended, and the next may follow.</summary>
    public required int End { get; init; }

    /// <summary><c>&lt;|message|&gt;</c>: the header has ended.</summary>
    public required int Message { get; init; }

    /// <summary><c>&lt;|channel|&gt;</c>: a channel's name follows.</summary>
    public required int Channel { get; init; }

    /// <summary><c>&lt;|constrain|&gt;</c>: the kind of content follows.</summary>
    public required int Constrain { get; init; }

    /// <summary><c>&lt;|return|&gt;</c>: the answer has ended.</summary>
    public required int Return { get; init; }

    /// <summary><c>&lt;|call|&gt;</c>: a tool is called, and the model waits for its result.</summary>
    public required int Call { get; init; }

    /// <summary><c>&lt;|endoftext|&gt;</c>.</summary>
    public required int EndOfText { get; init; }

    /// <summary>
    /// What ends an answer: return, call and end of text. <see cref="End"/> is none of them: the model starts its next message after it.
    /// </summary>
    public IReadOnlyList<int> Stops => [Return, Call, EndOfText];

    /// <summary>Those of o200k_harmony (openai/harmony, <c>src/tiktoken_ext/public_encodings.rs</c>).</summary>
    internal static HarmonyTokens Published { get; } = new()
    {
        Start = 200006,
        End = 200007,
        Message = 200008,
        Channel = 200005,
        Constrain = 200003,
        Return = 200002,
        Call = 200012,
        EndOfText = 199999,
    };
}
