using System.Reflection;

namespace Moe.Plugins.Cli.Tests.Surface;

/// <summary>Values that are right for hardly any argument of their type.</summary>
internal static class BadValues
{
    private static readonly NullabilityInfoContext Annotations = new();

    /// <summary>Those of a member: null too where none may be.</summary>
    public static IEnumerable<object?> Of(PropertyInfo member) => Annotations.Create(member).WriteState == NullabilityState.NotNull && !member.PropertyType.IsValueType
        ? Of(member.PropertyType).Prepend(null)
        : Of(member.PropertyType);

    // What an array of something can stand for.
    private static Type? ElementOf(Type type) => type.IsArray ? type.GetElementType()
        : type is { IsInterface: true, IsGenericType: true } && type.GetGenericArguments() is [{ IsValueType: false } element] && type.IsAssignableFrom(element.MakeArrayType()) ? element
        : null;

    /// <summary>Those of a type; none for what is more than a value. A native integer is an address or a handle, which nobody can look into.</summary>
    public static IEnumerable<object> Of(Type type)
    {
        type = type.IsByRef ? type.GetElementType()! : type;
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type switch
        {
            _ when type == typeof(int) => [-1, int.MinValue],
            _ when type == typeof(long) => [-1L, long.MinValue],
            _ when type == typeof(float) => [float.NaN],
            _ when type == typeof(double) => [double.NaN],
            _ when type == typeof(TimeSpan) => [TimeSpan.FromSeconds(-1)],
            _ when type == typeof(string) => ["", " "],
            { IsEnum: true } => [Enum.ToObject(type, 77)],
            _ when ElementOf(type) is { IsValueType: false } element => [Array.CreateInstance(element, 1)],
            _ => [],
        };
    }
}
