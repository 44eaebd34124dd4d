namespace Moe.Plugins.Cli;

/// <summary>Told how far a benchmark is.</summary>
internal interface IBenchProgress
{
    /// <summary>A piece of work begins; the one before it has ended.</summary>
    void Begin(string what, int steps);

    /// <summary>One of its steps is done.</summary>
    void Step();
}
