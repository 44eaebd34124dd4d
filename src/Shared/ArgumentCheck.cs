using System.Runtime.CompilerServices;

namespace Moe.Plugins;

/// <summary>What is asked of arguments beside what the runtime's own exceptions ask.</summary>
internal static class ArgumentCheck
{
    /// <summary>Refuses a value that is none of its enum's.</summary>
    /// <param name="value">The argument.</param>
    /// <param name="name">Its name.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is none.</exception>
    public static void ThrowIfUndefined<T>(T value, [CallerArgumentExpression(nameof(value))] string? name = null)
        where T : struct, Enum
    {
        if (!Enum.IsDefined(value))
        {
            throw new ArgumentOutOfRangeException(name, value, $"Not one of {typeof(T).Name}.");
        }
    }

    /// <summary>Refuses a name or path that is there and says nothing.</summary>
    /// <param name="text">The argument; null where there is none.</param>
    /// <param name="name">Its name.</param>
    /// <exception cref="ArgumentException">It is empty.</exception>
    public static void ThrowIfBlank(string? text, [CallerArgumentExpression(nameof(text))] string? name = null)
    {
        if (text is not null)
        {
            ArgumentException.ThrowIfNullOrWhiteSpace(text, name);
        }
    }

    /// <summary>Refuses a list that is missing, or in which something is.</summary>
    /// <param name="list">The argument.</param>
    /// <param name="name">Its name.</param>
    /// <exception cref="ArgumentException">One of its elements is null.</exception>
    public static void ThrowIfAnyNull<T>(IEnumerable<T>? list, [CallerArgumentExpression(nameof(list))] string? name = null)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(list, name);
        if (list.Any(static one => one is null))
        {
            throw new ArgumentException("One of its elements is null.", name);
        }
    }
}
