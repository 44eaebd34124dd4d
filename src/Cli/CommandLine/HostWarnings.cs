using Microsoft.Extensions.Logging;

namespace Moe.Plugins.Cli;

/// <summary>Shows what a host warns of, once each, unless the command's own result says it.</summary>
internal sealed class HostWarnings(CommandConsole console) : ILoggerFactory, ILogger
{
    /// <summary>
    /// Stable ids of messages on plugins that cannot be used, on backends that are named and unknown (<see cref="BackendsReport"/>; a layer that is to
    /// have one ends the command), on choices and falls back, on reloads, that everything is trusted, and on patterns that no layer matched
    /// (<see cref="LayerPatternCheck"/>).
    /// </summary>
    private static readonly int[] SaidElsewhere = [2, 3, 6, 7, 8, 12, 14, 19];

    /// <summary>Stable id of the message that there is no plugin at all.</summary>
    private const int NoBackendId = 16;

    private readonly HashSet<string> _said = [];

    /// <summary>What the host says where it found no plugin at all; null where it found one.</summary>
    public string? NoBackend { get; private set; }

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (eventId.Id == NoBackendId)
        {
            NoBackend = formatter(state, exception);
        }
        else if (IsEnabled(logLevel) && !SaidElsewhere.Contains(eventId.Id))
        {
            string message = formatter(state, exception);
            lock (_said)
            {
                if (_said.Add(message))
                {
                    console.WriteWarning(message);
                }
            }
        }
    }

    public void Dispose()
    {
    }
}
