using System.Linq.Expressions;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Whatever a program may call says by its name which argument is null where none may be.</summary>
public sealed class PublicArgumentTests
{
    private static readonly NullabilityInfoContext Annotations = new();

    [Theory]
    [InlineData("Abstractions", 15)]
    [InlineData("Host", 20)]
    [InlineData("Loading", 10)]
    [InlineData("Checkpoints", 5)]
    [InlineData("Conformance", 5)]
    [InlineData("GptOss", 15)]
    [InlineData("GptOss.Cuda", 1)]
    [InlineData("Kernels", 30)]
    [InlineData("Cuda", 15)]
    public void A_null_is_refused_by_the_arguments_name(string library, int least)
    {
        (MethodBase Method, ParameterInfo Parameter)[] cases =
        [
            .. from type in Assembly.Load($"Moe.Plugins.{library}").GetExportedTypes()
               where (type.IsClass || type.IsValueType) && !type.IsEnum && !type.IsGenericTypeDefinition && !IsPlain(type)
               from method in (MethodBase[])
               [
                   .. type.GetConstructors(),
                   .. type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly).Where(IsCalled),
               ]
               from parameter in method.GetParameters()
               where !parameter.ParameterType.IsValueType && !parameter.ParameterType.IsPointer && !parameter.ParameterType.IsByRef
               where Annotations.Create(parameter).WriteState == NullabilityState.NotNull
               where method is MethodInfo { IsStatic: true } || !type.IsAbstract || (method is MethodInfo && Derived(type) is not null)
               select (method, parameter),
        ];
        Assert.InRange(cases.Length, least, int.MaxValue);
        string[] wrong = [.. cases.Select(static one => Wrong(one.Method, one.Parameter)).OfType<string>()];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    // Exceptions, attributes and records of plain values take what they are given.
    private static bool IsPlain(Type type) => type.IsAssignableTo(typeof(Exception)) || type.IsAssignableTo(typeof(Attribute)) || type.IsAssignableTo(typeof(Delegate))
        || (type.GetMethod("<Clone>$") is not null && type.GetConstructors().Length != 0);

    private static bool IsCalled(MethodInfo method) => method is { IsAbstract: false, IsGenericMethodDefinition: false, IsSpecialName: false }
        && !method.IsDefined(typeof(CompilerGeneratedAttribute)) && !method.Name.StartsWith('<') && method.Name != nameof(Equals)
        && !method.DeclaringType!.Name.StartsWith('<') && !method.GetParameters().Any(static p => p.ParameterType.IsByRefLike);

    private static string? Wrong(MethodBase method, ParameterInfo missing)
    {
        object?[] arguments = [.. method.GetParameters().Select(parameter => parameter.Position == missing.Position ? null : Make(parameter.ParameterType))];
        Exception? thrown = Record.Exception(() => method is ConstructorInfo constructor
            ? constructor.Invoke(arguments)
            : method.Invoke(method.IsStatic ? null : Make(method.DeclaringType!), arguments))?.InnerException;
        return thrown is ArgumentException refused && refused.ParamName == missing.Name
            ? null
            : $"{method.DeclaringType!.Name}.{method.Name}, {missing.Name}: {thrown?.GetType().Name ?? "accepted"} {thrown?.Message}";
    }

    // Something that is there, though nothing may be in it: arguments are looked at before they are used.
    private static object? Make(Type type) => type switch
    {
        _ when type == typeof(string) => "x",
        { IsArray: true } => Array.CreateInstance(type.GetElementType()!, 0),
        { IsByRef: true } => type.GetElementType()!.IsValueType ? Activator.CreateInstance(type.GetElementType()!) : null,
        { IsPointer: true } => null,
        { IsValueType: true } => Activator.CreateInstance(type),
        { IsInterface: true, IsGenericType: true } => type.IsAssignableFrom(type.GetGenericArguments()[0].MakeArrayType()) ? Array.CreateInstance(type.GetGenericArguments()[0], 0) : null,
        { IsInterface: true } => DispatchProxy.Create(type, typeof(Silent)),
        { IsAbstract: true } => Derived(type) is { } derived ? Make(derived) : null,
        _ when type.IsAssignableTo(typeof(Delegate)) => Nothing(type.GetMethod("Invoke")!, type),
        _ => RuntimeHelpers.GetUninitializedObject(type),
    };

    private static Type? Derived(Type type) =>
        type.Assembly.GetTypes().FirstOrDefault(derived => derived.IsSubclassOf(type) && derived is { IsAbstract: false, ContainsGenericParameters: false });

    private static Delegate Nothing(MethodInfo call, Type type) => Expression
        .Lambda(type, Expression.Default(call.ReturnType), [.. call.GetParameters().Select(static parameter => Expression.Parameter(parameter.ParameterType))])
        .Compile();

    /// <summary>Answers every call with nothing.</summary>
    public class Silent : DispatchProxy
    {
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
            targetMethod!.ReturnType is { IsValueType: true } type && type != typeof(void) ? Activator.CreateInstance(type) : null;
    }
}
