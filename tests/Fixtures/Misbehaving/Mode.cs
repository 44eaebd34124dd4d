using Moe.Plugins;

namespace Fixtures;

/// <summary>Where to misbehave, and how.</summary>
internal sealed class Mode(string text)
{
    private readonly string[] _parts = text.Split(':');

    /// <summary>How to misbehave at a place; empty where the mode is about another one.</summary>
    public string At(string place) => _parts[0] == place ? _parts[1] : "";

    /// <summary>Throws, or never returns, where the mode says so.</summary>
    public void Throw(string place)
    {
        switch (At(place))
        {
            case "unreadable":
                throw new UnreadableException();
            case "once":
                throw new OnceException();
            case "once-inner":
                throw new InvalidOperationException("around it", new AggregateException(new OnceException(), new ManyTextsException()));
            case "once-value":
                throw new ArgumentOutOfRangeException("index", new OnceValue(), "a value of the plugin's own");
            case "many-texts":
                throw new ManyTextsException();
            case "endless":
                throw new EndlessException();
            case "silent":
                throw new SilentException();
            case "textless":
                throw new TextlessException();
            case "traceless":
                throw new TracelessException();
            case "deep":
                throw Enumerable.Range(0, 100_000).Aggregate(new InvalidOperationException("the first try"), (last, i) => new InvalidOperationException($"try {i}", last));
            case "deeper":
                throw Enumerable.Range(0, 20_000).Aggregate(new AggregateException(), (last, i) => new AggregateException(last, new TracelessException()));
            case "inner":
                throw new InvalidOperationException("around it", new UnreadableException());
            case "cancel":
                throw new OperationCanceledException("the plugin's own time-out");
            case "task":
                throw new TaskCanceledException("the plugin's own request took too long");
            case "aggregate":
                throw new AggregateException(new TaskCanceledException("one"), new UnreadableException());
            case "argument":
                throw new ArgumentOutOfRangeException("index", "a mistake of the plugin's own");
            case "reference":
                throw new NullReferenceException("a mistake of the plugin's own");
            case "disposed":
                throw new ObjectDisposedException("something of the plugin's own");
            case "reason":
                throw new MoeException((MoeReason)4711, "a reason that there is not");
            case "throw":
                throw new InvalidOperationException($"thrown at {place}");
            case "cursor":
                throw new InvalidOperationException("\u001b[2K\r\u202egnorw si gnihton\u200b");
            case "long":
                throw new InvalidOperationException(new string('x', 5_000_000));
            case "hang":
                Thread.Sleep(Timeout.Infinite);
                break;
        }
    }
}
